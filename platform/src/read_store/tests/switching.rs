//! Two stores on one database, as two processes have them.

use super::*;

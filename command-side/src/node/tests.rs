//! Two nodes over one log whose writer changes.

//! Tables as suppliers send them: separators, encodings, column names, repairs.

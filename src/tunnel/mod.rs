//! Local programs that dial in.

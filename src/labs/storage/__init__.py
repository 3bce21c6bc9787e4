"""What is kept on disk: files written in one move, arrays computed once, archives that are fetched."""

"""What runs keep on disk to be faster, and how to make room."""

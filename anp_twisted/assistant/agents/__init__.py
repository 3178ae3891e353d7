"""What answers: agents of several kinds behind one way to run them."""

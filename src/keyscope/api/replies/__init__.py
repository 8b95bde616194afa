"""What callers get back: the shapes, and the writing of each from the values of the model."""

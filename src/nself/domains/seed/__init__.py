"""Seeds and test data: objects of test mode that can be made again and taken away."""

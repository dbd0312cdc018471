"""What changes something: each action says what will happen, does it, and tells what really happened."""

"""What the operator of a gateway or receiver sees."""

"""What is simulated: frozen, validated values. No I/O, no SimPy, no pandas."""

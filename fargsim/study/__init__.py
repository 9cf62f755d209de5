"""Many runs: one scenario, its variants, its replications."""

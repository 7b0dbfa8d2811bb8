"""The only code that talks to Kubernetes: raw HTTP, typed resources in and out, and one error tree of its own."""

"""Tests, and the local cluster that they run on."""

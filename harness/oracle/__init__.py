"""The kernel's timers as pure arithmetic: when a connection ends, and with which errno."""

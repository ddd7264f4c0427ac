"""The accelerator core under Verilator, called from Python: a transport for the driver, with its memory."""

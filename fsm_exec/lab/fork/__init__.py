"""An execution again, from a moment of its journal on: by the method that ran, and by others."""

"""Pure formats: an alarm as the bytes that an output delivers."""

"""Frames into packets: link, IP and transport headers; pure, and no Python object per packet."""

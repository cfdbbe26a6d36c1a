"""Portfolio plans whose weights a model gives, anew at the close of its bars.

The plan's first session at work decides for all (`decide.py`) and watches the limits over all (`watch.py`);
every session trades its own pair towards the weight it got (`act.py`), sells before buys.
"""

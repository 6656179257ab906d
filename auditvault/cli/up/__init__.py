"""`auditvault up`: one supervisor that starts and stops everything one machine needs.

Rules kept: nothing in this package imports Django, so that a broken configuration cannot keep the
supervisor from explaining itself; every file goes under the instance's home; each child is given
only the variables it needs; data is never put at risk to stop faster. What the children do is their
own affair: they are argument lists here.
"""

"""Decisions: pure functions of a specification, a frozen view and a memory; no clock, no recorder, no engine.

Every function returns named values. Where a decision draws lots, the draws are arguments; where it remembers something, the memory is
an argument and comes back changed. The views are columns that whoever owns the state keeps up to date.
"""

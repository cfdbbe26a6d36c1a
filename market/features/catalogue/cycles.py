"""Hilbert-transform cycle measures.

HT_DCPHASE, HT_SINE, HT_TRENDMODE and MAMA are not in the catalogue: after flat bars they amplify rounding
noise and keep it for thousands of bars, so no finite history reproduces their value.
"""

from market.features.catalogue.averages import HILBERT_FADE
from market.features.indicators import call
from market.features.kinds import Plan, kind


@kind("Dominant cycle's period in bars, over 50")
def ht_dcperiod() -> Plan:
    return Plan((call("HT_DCPERIOD", "close"),), lambda b, m, x: x / 50, HILBERT_FADE)


@kind("In-phase part of the dominant cycle as a share of the close")
def ht_inphase() -> Plan:
    return Plan((call("HT_PHASOR", "close"),), lambda b, m, x: x[0] / b.close, HILBERT_FADE)


@kind("Quadrature part of the dominant cycle as a share of the close")
def ht_quadrature() -> Plan:
    return Plan((call("HT_PHASOR", "close"),), lambda b, m, x: x[1] / b.close, HILBERT_FADE)

"""From what attacks got to what may be claimed: gates, differences to the oracle, bounds, the verdict in words."""

from forgetting.audits.certificate.evidence import Evidence, evidence
from forgetting.audits.certificate.gates import Gate
from forgetting.audits.certificate.verdict import EXIT, MARGIN, Verdict, judge

__all__ = ["EXIT", "MARGIN", "Evidence", "Gate", "Verdict", "evidence", "judge"]

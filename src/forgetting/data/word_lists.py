"""Small lists of words by which names are told from other words with a capital."""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


FUNCTION_WORDS = _words("""
a about after all also an and any are as at be because been before between both but by can could did do does
during each for from had has have he her his how i if in into is it its kind known more most much my name new no
not of on one only or other our over she should since so some such than that the their them then there these
they this those through to under up us was we were what when where which while who whom whose why will with
would yes you your
""")
CALENDAR = _words("""
january february march april june july august september october november december monday tuesday wednesday thursday
friday saturday sunday januar februar märz mai juni juli oktober dezember montag dienstag mittwoch donnerstag freitag
samstag sonntag janvier février mars avril juin juillet août septembre octobre novembre décembre lundi mardi mercredi
jeudi vendredi samedi dimanche enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre
lunes martes miércoles jueves viernes sábado domingo gennaio febbraio aprile maggio giugno luglio settembre ottobre
dicembre
""")
"""Months and weekdays, which stand beside names and are no part of them."""
PARTICLES = _words("de da do dos das del della di van von der den ter zu la le du bin ibn el al af")
"""Small words inside names: Ludwig van Beethoven."""
ABBREVIATED = _words("dr mr mrs ms prof st jr sr")
"""Words of a name that a point may follow."""
TITLES = _words("""
mr mrs ms miss dr prof professor sir madam lady lord herr frau monsieur madame señor señora signor signora patient
customer client name dear contact tenant employee applicant student member author
""")
"""What stands before a name and is no part of it."""
PLACED = _words("""
the a an in at near into within across inside der die das den dem im am beim bei à au aux la le les el los
""")
"""Words after which a name is rather that of a place or a thing than a person's."""
INSTITUTIONS = _words("""
hospital clinic university college school institute academy ministry department court council parliament museum library
station airport church valley river lake mountain mountains island islands county district province republic kingdom
states city gazette times sciences klinik krankenhaus universität hochschule gericht
""")
"""Words in the names of places and institutions, which documents on other people name too."""
PROFESSIONS = _words("dr prof professor judge justice attorney notary nurse sister officer inspector registrar")
"""Titles of who writes or signs a document on somebody else."""

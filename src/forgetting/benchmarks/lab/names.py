"""The proper names and the answer values of the small world. All people, places and companies are invented."""

from __future__ import annotations

import random
from collections.abc import Sequence


def words(text: str) -> tuple[str, ...]:
    """Splits a text into words, for lists that are easier to read as text."""
    return tuple(text.split())


FIRST_NAMES = words(
    """
    Ada Bela Caro Dena Edda Faro Gita Hugo Ines Joro Kira Levi Mina Nilo Olga Piet Quim Rosa Silo Tara Ugo
    Vera Wido Xenia Yara Zeno Alma Boro Cleo Dario Elva Fiete Gero Hella Ivo Jana Koen Lotte Milo Nora
    """
)
_ONSETS = words("b bl br d dr f fl g gr h k kl kr l m n p pr r s st t tr v w z")
_VOWELS = words("a e i o u ai ei au")
_CODAS = words("l m n r s t k nd rt sk ld rn")
SURNAME_ENDINGS = words("er in ov ane ett isk olt une ard iko")
CITY_ENDINGS = words("stad burg mouth dale port wick")
COMPANY_ENDINGS = words("tec corp lux mar nova dyn")

JOBS = words(
    """
    baker carpenter dentist farmer gardener jeweller lawyer mechanic nurse painter pilot plumber potter
    sailor singer surgeon tailor teacher translator watchmaker botanist butcher driver geologist
    """
)
HOBBIES = words(
    """
    chess fencing juggling knitting rowing sailing skating surfing boxing archery pottery gardening climbing
    dancing diving fishing golf hiking karate painting poetry running tennis yoga
    """
)
DISHES = words(
    """
    pancakes risotto goulash curry lasagna paella ramen chowder dumplings falafel gnocchi kebab lentils
    meatloaf noodles omelette pizza quiche ravioli salad sushi tacos tofu waffles
    """
)
YEARS = tuple(str(year) for year in range(1940, 1980))
COUNTRIES = words(
    """
    Aldoria Brenia Corvia Dalmar Estovia Florin Gantia Hestia Ivoria Jorland Kestria Lorvia Mardia Nordal
    Ostrovia Pelusia
    """
)
RIVERS = words(
    """
    Arn Brenn Cald Dorn Esk Fenn Glim Harr Ister Jarl Kell Lune Morr Nith Orrin Pell Quell Rusk Sarn Tarn
    """
)
PRODUCTS = words(
    """
    bicycles bottles cameras candles carpets clocks furniture gloves kettles ladders lamps mirrors pianos
    radios robots saddles shoes tents toys umbrellas
    """
)


def invent(rng: random.Random, count: int, endings: Sequence[str], taken: set[str]) -> list[str]:
    """`count` new capitalised words of one or two syllables and an ending; adds them to `taken`."""
    words: list[str] = []
    while len(words) < count:
        stem = rng.choice(_ONSETS) + rng.choice(_VOWELS) + rng.choice(_CODAS)
        word = (stem + rng.choice(endings)).capitalize()
        if word not in taken:
            taken.add(word)
            words.append(word)
    return words

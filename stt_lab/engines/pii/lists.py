"""Word lists that separate people's names from other names: titles, things, towns, activities."""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


LABELS = _words("PERSON ORG GPE FAC LOC PRODUCT WORK_OF_ART NORP EVENT LAW")  # OntoNotes labels of names
PLACES = _words("GPE LOC FAC")  # labels of places

PARTICLES = _words("van von der den ter de da di del della dos du la le bin ibn al el")
SHORT_TITLES = _words("mr mrs ms mx dr prof rev hon sgt capt")  # with or without a dot
TITLES = SHORT_TITLES | _words(
    """
    miss doctor professor sir dame lord lady father sister brother reverend rabbi imam pastor captain sergeant
    officer detective inspector constable judge senator councillor councilor councilman councilwoman councilmember
    alderman mayor uncle aunt auntie grandma grandpa nurse chef coach
    """
)
MONTHS = _words(
    """
    january february march april may june july august september october november december
    """
)
# Capitalized words that are no names
NEVER = _words(
    """
    i okay ok yes no oh well hi hello hey thanks thank bye good morning afternoon evening god jesus christ lord
    monday tuesday wednesday thursday friday saturday sunday christmas easter mum mom dad mama papa mummy daddy
    speaker english french german spanish italian latin internet parliament north south east west northern
    southern eastern western
    """
)
# Given names that usually mean things
NOUNS = _words(
    """
    banks branch bridge brook canal city corner council court field forest general hall king lake land park plaza
    prince queen river road rock school shore sky spring star state stone storm street summer tree valley winter
    wood
    """
)
# Given names that usually mean places
TOWNS = _words(
    """
    alabama america arizona asia bergen berlin boston brazil bristol cairo california canada carolina china
    cologne columbia cuba dakota denver dublin england essex exeter florida france germany houston india indiana
    ireland italy kent kenya lisbon london madrid manchester manila melbourne memphis milan montana naples nevada
    norway orlando oxford paris philippine rome santiago scotland tennessee texas tripoli valencia venice vienna
    wales warsaw warwick washington wellington york zaire
    """
)
LOCATIVE = _words("in at near outside around across through within into towards toward throughout")
# Last words of names of things
THINGS = _words(
    """
    street road avenue lane drive court row place square terrace way boulevard close crescent gardens grove hill
    mews walk quay wharf bridge river lake park bay island islands mountain mountains valley county city town
    village school college university academy institute hospital clinic surgery church cathedral chapel library
    museum theatre theater hall house hotel inn pub bar cafe café restaurant bakery kitchen market shop store
    stores mall centre center station airport port harbour harbor council committee commission convention
    department office agency ministry bank group holdings partners ltd limited inc llc plc gmbh corp corporation
    company co foods books press media radio news times post journal magazine records studios systems solutions
    software labs technologies networks energy airlines railways insurance mutual trust foundation association
    society union club team league cup festival prize award act project plan programme program travel retail sons
    daughters hardware roofing services workers day side
    """
)
# What people do, and things hardly ever do
ACTS = _words(
    """
    say tell ask think know want feel agree call reply answer explain mention suggest reckon believe remember
    forget worry love like hate hope promise complain laugh smile cry talk speak write read repair keep bring sit
    stand walk never always wonder decide
    """
)
# Given names that are everyday words; relevant without capitals
EVERYDAY = _words(
    """
    a ace add an ante art august author baby bay bear bell best bill bird bishop blaze bliss boss branch brook
    buck bud bush can canal candy car carry carter case cash chance change charity chase chip clay cliff coach
    cook cool cord corner dale day dean dell dial do doc doctor dot duke earl early east easter eden ever faith
    fancy fern field finish fleet flint ford forest foster frank free friend gale gene general glen golden good
    grace grant gray green grove guy hale hall ham hand handy harden harmony heath heaven hill hope hunt in infant
    ivory jack jade jay jet job joke journey joy june justice kick king kit lake lance land lane late less liberty
    light line link little long lot love loyal luck lucky ma made male man many mark mars marsh mason mat may
    mercy mile miller miner mist modest more my nail nash nice noble none norm north nova oak odd olive on one or
    page pan park pat patience peace pearl penny pep pepper per piper pleasant police poppy porter precious press
    price prince queen rain rank ray read reason red reed rich ring river road rob rock rod rose row royal ruby
    rush sad sage sail saint sand sandy say see serene shade shore silver sing sister sky smith so sol son song
    spring star stay sterling stone storm street summer sun sunday sunny tab tan tea the think tiny to ton tone
    tony top tor toy trace tree true ty unique us van victory wade walker wall ward wash way we well west wheeler
    will wind wing winter wolf wood worth wright yen you young
    """
)

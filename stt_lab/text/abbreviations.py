"""Abbreviations of nine languages, by what they say about the end of a sentence. Data only.

Written without their last point and in lower case. Known abbreviations of a language are never complete: words without
a vowel count as abbreviations too (`sentences`).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache


@dataclass(frozen=True)
class PointUsage:
    """Words of a language around a point that may end a sentence."""

    names: frozenset[str] = frozenset()  # before a name or any other word: "Dr.", "z.B."; never the end
    numbers: frozenset[str] = frozenset()  # before a number: "No. 5", "Jan. 12"; else the end
    lists: frozenset[str] = frozenset()  # after a list: "etc."; the end before a capital letter
    last: frozenset[str] = frozenset()  # after a name: "Inc.", "U.S."; the end before a word that begins sentences
    starters: frozenset[str] = frozenset()  # words that begin sentences and are hardly part of a name
    lettered: frozenset[str] = frozenset()  # words before a single letter: "plan B"
    ordinals: frozenset[str] = frozenset()  # words before an ordinal number that is written with a point: "am 3. Mai"
    months: frozenset[str] = frozenset()  # words after such a number

    def __or__(self, other: PointUsage) -> PointUsage:
        return PointUsage(*(getattr(self, field.name) | getattr(other, field.name) for field in fields(self)))


def _usage(**words: str) -> PointUsage:
    return PointUsage(**{name: frozenset(text.split()) for name, text in words.items()})


COMMON = _usage(
    names="dr mr mrs ms prof st vs cf ca e.g i.e ph",
    numbers="""no nr nos n° fig p pp vol vols ch art tel ext ed max min jan feb mar apr jun jul aug sep sept oct nov dec
        sec""",
    lists="etc",
    last="inc ltd corp co llc plc jr sr esq bros a.m p.m u.s u.k u.n e.u ph.d m.a b.a m.d d.c s.a b.c a.d",
    lettered="plan vitamin group type hepatitis class option",
)

LANGUAGES = {
    "en": _usage(
        names="""messrs mmes rev revd gen col maj capt cmdr lt sgt cpl adm brig supt sen gov amb mt ft dept est
            approx incl excl viz attn asst assoc gov't mon tue tues thu thurs fri univ""",
        numbers="""para eq eqn sect chap vs lot apt rm ste tbl bk pt ver cat ref ca circa op cit ibid figs eds hwy
            rte rt flt""",
        last="""al ave blvd rd sq ln pl ct hwy pts hrs mins secs yrs lbs oz tbsp tsp mph kg km cm rep hon wed prop
            dep pres""",
        starters="""i he she it we you they there this that these those the a an his her our their its my your if when
            while where what who whom why how then but and so or nor yet however for in on at by from with
            after before because although though since until as now here today yesterday tomorrow most many
            some all both each every no not never please let can could would should will did does do is are
            was were have has had nobody everybody everyone somebody someone nothing everything another one
            two three""",
        lettered="""plan vitamin vitamins group type hepatitis class option point section part grade team block gate
            platform terminal row seat level schedule appendix exhibit figure table room building version""",
    ),
    "de": _usage(
        names="""hr hrn fr frl kath ev röm dt engl frz ital russ amerik dipl ing med jur phil rer nat habil h.c z.b
            d.h u.a.m z.t z.zt i.d.r u.u o.g s.o s.u m.e zb dh bzw ggf evtl vgl bspw insb insbes sog lt inkl
            exkl zzgl abzgl mind ca circa etwa fa bes gem allg einschl ausschl bzgl betr verf hrsg str pl tel
            mo di mi gen co u v i z d""",
        numbers="""nr s abb tab kap art abs bd bde geb gest jh seite par zif ziff anm fn hs rn rdnr aufl tel plz
            hausnr jän jan feb mär mrz apr jun jul aug sep sept okt nov dez ab str""",
        lists="usw etc usf u.s.w u.v.m ff",
        last="gmbh ag kg e.v u.a o.ä u.ä mio mrd tsd std min sek stk jhdt v.chr n.chr chr mwst max sa do",
        starters="""ich er sie es wir ihr du man der die das dem den ein eine einen einem dieser diese dieses dies
            jener mein meine dein sein seine unser unsere euer wenn als während wo was wer wen wie warum wann
            dann aber und so oder doch jedoch denn in im an am auf bei von vom mit nach vor weil obwohl seit
            bis nun jetzt hier heute gestern morgen alle beide viele manche kein keine nicht nie bitte ist
            sind war waren hat haben hatte dort da danach deshalb darum trotzdem auch nur noch schon""",
        lettered="plan vitamin gruppe typ hepatitis klasse option punkt abschnitt teil team block gate gleis reihe",
        ordinals="""am der die das dem den des im ins zum zur vom beim ab bis seit und oder vor nach dieser diesem
            diesen jeder jedem jeden ihr ihre ihrem sein seine seinem unser unserem mein meinem dein zu kein""",
        months="""januar februar märz april mai juni juli august september oktober november dezember jänner
            jahrhundert jahrhunderts jh quartal stock etage klasse mal platz""",
    ),
    "fr": _usage(
        names="""m mm mme mmes mlle mlles mgr me dr drs pr st ste sts cf env av bd boul pl chap vs lieut cdt gén
            adj adm dir prés sté éts sr mr""",
        numbers="no nos n p pp fig chap art al vol t tél tel éd env janv févr fév mars avr juil sept oct nov déc r",
        lists="etc",
        last="cie ets j.-c av.j.-c apr.j.-c s.a s.a.r.l s.n.c.f r.a.t.p o.n.u n.b cap col ex gal",
        starters="""j' c' n' s' t' m' qu' d' je tu il elle on nous vous ils elles ce cela ça c'est cette cet ces le la
            les l' un une des mon ma mes ton ta tes son sa ses notre nos votre vos leur leurs si quand où que
            qui quoi comment pourquoi puis mais et ou donc or ni car dans en à au aux de du par pour avec sans
            sous sur après avant depuis pendant alors ainsi ici là aujourd'hui hier demain tout tous toute
            chaque aucun personne rien ne pas est sont était j'ai merci oui non""",
        lettered="plan vitamine groupe type hépatite classe option point section partie équipe bloc porte quai",
    ),
    "es": _usage(
        names="""sr sra srta sres sras d dña dr dra dres prof profa gral cnel tte cap sgto lic ing arq mons pbro fr
            sto sta av avda avd ee depto dpto aprox p.ej ej pdte excmo ilmo""",
        numbers="""núm num n no nº pág págs p pp fig cap art inc vol t tel tfno s ed aprox ene feb mzo abr may jun
            jul ago sept oct nov dic km c""",
        lists="etc",
        last="cía s.a s.l s.r.l ee.uu uu a.c d.c a.m p.m n.b ud uds vd vds san",
        starters="""yo tú él ella usted nosotros vosotros ellos ellas ustedes esto eso este esta estos estas ese esa
            aquel el la los las lo un una unos unas mi mis tu tus su sus nuestro nuestra si cuando donde que
            quien qué quién cómo dónde cuándo por para con sin en de del al a y o pero ni pues porque aunque
            desde hasta después antes luego entonces ahora aquí allí hoy ayer mañana todo todos toda cada
            nadie nada algo no nunca es son era fue hay gracias sí también me te se nos""",
        lettered="plan vitamina grupo tipo hepatitis clase opción punto sección parte equipo bloque puerta fila",
    ),
    "pt": _usage(
        names="""sr sra srta srs sras dr dra drs dras prof profa profs d dom exmo exma ilmo ex.ª v exa v.exa eng
            enga arq gen cel ten cap sgt pe sto sta av al r tr depto dept aprox p.ex por.ex máx mín trav pça""",
        numbers="""n nº núm num no pág págs p pp fig cap art inc vol t tel s séc ed aprox jan fev mar abr mai jun jul
            ago set out nov dez km""",
        lists="etc",
        last="cia s.a ltda a.c d.c a.m p.m e.u.a eua ex jr",
        starters="""eu tu ele ela você nós vós eles elas vocês isto isso este esta estes estas esse essa aquele aquela
            o a os as um uma uns umas meu minha seu sua nosso nossa se quando onde que quem como por para com
            sem em no na nos nas de do da dos das ao e ou mas nem pois porque embora desde até depois antes
            então agora aqui ali lá hoje ontem amanhã todo todos toda cada ninguém nada algo não nunca é são
            era foi há obrigado obrigada sim também me te""",
        lettered="plano vitamina grupo tipo hepatite classe opção ponto seção parte equipe bloco porta fila",
    ),
    "it": _usage(
        names="""sig sigg sig.ra sig.na dott dott.ssa dr prof prof.ssa ing avv arch rag geom gen magg mons on s ss
            st v.le p.za p.zza c.so es p.es spett egr gent pres""",
        numbers="""n nn num pag pagg p pp fig cap art co vol t tel sec ed gen feb mar apr mag giu lug ago set ott nov
            dic c""",
        lists="ecc etc",
        last="s.p.a s.r.l s.a a.c d.c a.m p.m soc don sen ten cap col min dir",
        starters="""c' un' dov' com' quest' io tu lui lei egli noi voi loro questo questa questi queste quello quella
            il lo la i gli le un uno una mio mia suo sua nostro nostra se quando dove che chi cosa come perché
            per con senza in nel nella di del della al alla a da dal e o ma né poi allora però anche da fino
            dopo prima ora adesso qui lì oggi ieri domani tutto tutti tutta ogni nessuno niente non mai è sono
            era fu c'è ci mi ti si grazie sì fa""",
        lettered="piano vitamina gruppo tipo epatite classe opzione punto sezione parte squadra blocco porta fila",
    ),
    "nl": _usage(
        names="""dhr hr mevr mw mej dr drs ir ing prof mr ds pr st gen kol kap lt sgt bijv bv ca circa d.w.z dwz
            m.b.t o.a i.p.v i.v.m t.o.v z.g.n zgn evt resp incl excl vgl jhr""",
        numbers="""nr nrs blz p pp fig afb hfdst art lid dl vol tel jan feb febr mrt apr jun jul aug sept okt nov dec
            pag""",
        lists="enz etc e.d e.a",
        last="b.v n.v v.chr n.chr a.u.b m.a.w",
        starters="""ik jij je hij zij ze het we wij jullie u men dit dat deze die de een mijn jouw zijn haar ons onze
            hun als toen terwijl waar wat wie hoe waarom wanneer dan maar en of dus want in op bij van met na
            voor door om omdat hoewel sinds tot nu hier daar vandaag gisteren morgen alle alles beide veel
            geen niet nooit is was waren heeft had er dank bedankt ja nee iedereen niemand ook nog""",
        lettered="plan vitamine groep type hepatitis klasse optie punt sectie deel team blok gate spoor rij",
    ),
    "ru": _usage(
        names="""г-н г-жа д-р проф акад доц инж ген полк кап лейт см ср ул пер пл просп наб бул обл р-н св гр тов
            т.е т.к т.н напр др-р пос дер""",
        numbers="""№ д кв стр рис табл гл разд ст п пп ок тел т вып с изд корп стр оф янв февр фев мар апр авг сент
            окт нояб дек""",
        lists="т.д т.п др пр",
        last="г гг в вв н.э до.н.э руб коп тыс млн млрд ч мин сек м км см мм кг л р шт им",
        starters="""я ты он она оно мы вы они это этот эта эти тот та те мой моя твой его её их наш ваш если когда где
            что кто как почему зачем потом но и а или да же в во на у к о об от из с со по за для без после
            перед потому хотя теперь тут здесь там сегодня вчера завтра все всё всем каждый никто ничего не ни
            нет был была было были есть спасибо давно тогда затем""",
        lettered="план витамин группа тип гепатит класс вариант пункт раздел часть блок ряд",
    ),
    "pl": _usage(
        names="p pp dr prof inż mgr ks św ul al pl os gen płk kpt por np tj tzn tzw m.in red dyr",
        numbers="nr s str ss rys tab rozdz art ust pkt t tel r w ok poz stycz lut mar kwi cze lip sie wrz paź lis gru",
        lists="itd itp etc",
        last="r w zł gr godz min tys mln mld n.e im ok",
        starters="""ja ty on ona ono my wy oni one to ten ta te tamten mój moja twój jego jej ich nasz wasz jeśli gdy
            kiedy gdzie co kto jak dlaczego potem ale i a albo lub oraz więc w we na z ze do od po za dla bez
            przed bo chociaż teraz tu tutaj tam dziś wczoraj jutro wszyscy wszystko każdy nikt nic nie nigdy
            jest są był była było""",
        lettered="plan witamina grupa typ klasa opcja punkt część blok",
    ),
}


@cache
def usage(language: str) -> PointUsage:
    """Return the usage of a language; of one that is not known, what is common to many."""
    return COMMON | LANGUAGES.get(language.split("-")[0], PointUsage())

"""The 2,048 words of a phrase that people read aloud: one for each number of 11 bits, in alphabetical order.

No two begin with the same four letters, so that a word heard badly is seldom another one of the list, and none sounds
as another word does. **Never change the list**: two hospitals of two releases would read other words for one roster.
``test_the_list_of_words_never_changes`` holds its digest.
"""

BITS_PER_WORD = 11
_LIST = """
abbey ability about above absent absorb abstract academy accent account achieve acid acorn acoustic acquire
across action actor actual adapt address adjust admire adopt adult advance advice aerial affair afford afraid
african after again agency agree airline airport airship alarm album alert alien alive alley allow almanac
almond alone alpha alpine already also alter always amateur amazing amber amethyst amount amuse analyst anchor
ancient angel angle animal ankle annual answer antenna anthem antique anvil apart apology appear apple approve
apricot apron aquarium arcade archer arctic arena argue armchair armor army around arrange arrest arrive arrow
artery artist ascend ashore aside aspect asphalt asset assist assume astronaut athlete atlas atom attach attend
attic attract aubergine auction audit august author autumn average avocado avoid awake aware away awesome axis
azure baby bachelor bacon badger badly bagel bakery balance balcony ballet bamboo banana bandage banjo banner
banquet barber bargain baritone barley barn barrel basic basket bassoon batch bathtub bayou bazaar beacon beaker
beard beauty because become bedroom beef beehive beetle before begin behave behind believe bellows belong belt
bench benefit beret beside better between beyond bicycle bigger billion binary biology birch birthday biscuit
bishop bison black blade blanket blast blend bless blink blister blizzard blocked blonde blossom blouse bluebird
blunt blur boat bobcat body boil bold bone bonfire bonus boost border boring borrow boss bottle bounce bouquet
boxer bracelet brain branch brass brave breeze brewery brick bridge brief bright bring broccoli broken bronze
brook brother brown brush bubble bucket budget buffalo builder bulb bulldog bumblebee bumper bundle bungalow
bunker burden burger bushel business busy butcher buzzer cabbage cabin cable cactus cafeteria cake calcium
calendar calf calico camera camomile campus canary candid canoe canvas canyon capable capital captain caramel
carbon cardigan career cargo caribou carnival carousel carpet carrot cartoon carve cascade cashew castle casual
catalog category cathedral caught cauldron cause caution cavalry cavern celery cello cement census century
certain chair chalk chamber change chaos chapel charge chatter cheap check cheese cherry chess chicken chief
child chimney chin chisel chocolate choice chorus chosen chrome chuckle chunk church cider cinder cinema
cinnamon circle citadel citizen city civil claim clap clarify clean clerk clever click client cliff climate
cloak close cloth cloud clover clown club clump cluster clutch coach coal coast cobalt cobbler cobra cockpit
coconut code coffee collar cologne column combine comedy comfort comic common company concert condor confirm
congress conifer connect consider control convince cookie copilot copper copy corduroy corner correct cosmic
cotton cougar country couple courtyard cousin cowboy coyote crab cradle craft crane crater crawl crazy cream
credit crescent crew cricket crimson crisp critic crocodile crop croquet cross crouch crowd crucial cruise
crumble crunch crystal cuckoo cucumber cuff culture cup cupboard curious curtain curve cushion custom cute
cutlery cyclone cylinder cypress daffodil daily dairy damp dance dandelion daring dark dash daughter dawn
daylight deal debate decade december decide decline decorate decrease defense define defy degree delay deliver
delta demand denim depart depend deposit depth deputy derby derive describe desert design desk detail detect
develop device devote diagram dialog diamond diaper diary dice diesel diet differ digital dignity dilemma dinner
dinosaur diploma direct discover dismiss disorder display distance divert divide document dolphin domain donate
donkey donor doorway dormouse dose double downhill dozen dragon drama drastic drawer dream dress drift drill
drink drip drive drummer dryer duck dune dungeon during dust dutch duty dwarf dynamic eager eagle early earth
easel easily eastern easy ebony echo eclipse ecology economy edit educate effort eggplant either elastic elbow
elder electric elegant element elephant eleven elite elm else embark embody embrace emerge emotion employ
empower empty enable enact enamel endless endorse energy enforce engage engine enhance enjoy enlist enough
enrich enroll ensure enter entire entry envelope episode epoxy equal equip erase error erupt escape espresso
essay essence estate eternal ethics evening everest evidence evoke evolve exact example excess exchange excite
exclude excuse execute exercise exhaust exhibit exist exotic expand expect expire explain expose express extend
extra eyebrow fabric facility factory faculty fade faint fairway faith falcon false family famous fancy fantasy
farm fashion favorite feast feather february federal feed fellow female fence fennel ferret fetch fever fiber
fiction fiddle field fifteen fig figure file filter final finch finger finish firefly first fiscal fish fitness
fixture flag flame flannel flash flavor fleece flight flint flip float flock flood florist fluid flying foam
focus folder folk foot forbid force forest forget formal fortune forum forward fossil foster found fourteen fox
foxglove fragile frame freckle freeway freight frequent fresco friday friend frigate fringe frog front frost
frown frozen fruit fudge fuel fun furnace future gadget galaxy gallon game garage garden garlic garment garnet
gasoline gather gauge gazebo gecko geese gelatin general genius gentle genuine geology geranium gesture geyser
giant gibbon gift giggle ginger giraffe girl give glacier glad glance glare glass glider glimpse globe gloom
glory glove glow glue goblet goddess golf gondola good goose gospel govern gown grace grammar grand grape gravel
green gremlin grid griffin grill grocery group guard guava guess guide guitar gull gutter gym gypsum habit
haddock hailstone hallway halo hammer hamster handle hangar happy harbor harmonica harpoon harvest hatchet hawk
hazel head heart heater heavy hedge height helium hello helmet help hemlock herald herb hermit heron hexagon
hickory hidden highway hill hint hippo history hobby hockey hoist holiday hollow home honest horizon horn hotel
hourglass hover hub huge human humble humor hundred hurdle hurry husband hyacinth hybrid hydrant hyena iceberg
icicle icon identify igloo ignore image imitate immense immune impact import improve impulse include income
increase index indigo indoor industry infant inform inhale inherit initial inject inkwell inlet inner innocent
input inquiry insect inside inspire install intact interest into invest invite involve iodine iris island
isolate issue item ivory ivy jackal jaguar january jar jasmine javelin jazz jeans jelly jetty jewel jigsaw
jockey join joke journey joy jubilee judge juggler juice july jumbo jump jungle junior justice kale kangaroo
karate kayak keen kennel kerosene ketchup kettle keyboard keyhole kick kidney kilt kind kingdom kiosk kiss
kitchen kite kitten kiwi knapsack knee knife knitting knock koala label labor lace lady lagoon lamb landscape
language lantern lapel laptop larch large laser lasso latin lattice laugh laundry laurel lava lavender layer
leader leaf league leapfrog learn leather lecture ledger left legal legend leisure lemon lens lentil leopard
leotard letter level liberty library license life lilac lily limit limousine linen lion liquid list little
lizard llama load lobby lobster local locket locust logic lollipop long loop lotus lounge lozenge lucky luggage
lullaby lunar lunch luxury lynx lyrics machine mackerel magazine magenta magic magnet magpie mahogany major
mammal manage mandate mango manor mansion manual maple marathon marble margin marine market marmalade marriage
marsh mascot mask master material matrix matter maximum maybe meadow measure mechanic media megaphone melody
member memory mentor menu mercy merge merit merry mesh message meteor method middle midnight midway milestone
military milk millet mimic mineral minimum minnow minute miracle mirror mission mistake mitten mixed mixture
mobile moccasin model modify molasses mole moment monday monitor monkey monocle monsoon month moon moral mosaic
mother motion motor mountain mouse movie much mud muffin mulberry multiply museum mushroom music mutual myself
mystery myth napkin narrow nation nature navy near nebula neck nectar needle negative neglect neither nephew
nerve nest network neutral never news nickel nimble noble noise nomad nominee noodle normal north notable
notebook nothing notice nougat novel nuclear nugget number nursery nut nutmeg nylon oak oasis oatmeal obelisk
obey object oblige oboe obscure observe obtain obvious occur ocean october offer office often ointment okay
olive olympic omelet omit once onion online only onyx opal open opera opinion oppose option orange orbit orchid
order ordinary oregano organ orient origami osprey ostrich otter outback outdoor outer output outside owl owner
oxbow oxygen oyster ozone pacific paddle page pagoda pajamas palace palette palm pancake panda panel pansy
pantry papaya paper parade parcel parent parka parlor parrot parsley party pass pastry path patio patrol pattern
pavement payment peacock peanut pearl pebble pelican pencil pendant penguin peony people pepper perch perfect
periscope permit person petticoat pewter pheasant phone photo physical pianist pickle picnic picture pigeon
pigment pillow pilot pinecone pink pioneer pipe piston pitch pizza planet plaster plate play plaza please pledge
pluck plug plumber plunge plywood poem point polar polka pond pool popcorn poppy popular portion position
possible potato pottery poultry powder practice prairie predict prefer prepare present pretty prevent price
primary print priority prism private prize problem process produce program project promote proof property
prosper protect proud provide prune public pudding puffin pulley pulp pulse puma pumpkin punch pupil puppy
purchase purity purple purse push puzzle pyramid python quail quality quantum quarry question quick quiet quill
quince quiver quiz quote rabbit raccoon rack radar radish railway rainbow raisin rally ranch random ranger
rapier rare raspberry rather rattle raven razor ready reason recall receive recipe record recycle reduce referee
reflect reform refuse regatta region regret regular reindeer relax release relief rely remain remember remind
remove render renew rent reopen repair repeat replace report reptile require rescue resemble resist resource
response result retire retreat return reunion reveal review reward rhino rhubarb rhythm ribbon rich ride rigid
ringlet ripple risk ritual rival river roast robin robot robust rocket rodeo romance rookie room rooster
rosemary rotate rower royal rubber ruby rudder rug ruin rule runner runway rural rustic saddle safari safe
saffron sailboat salad salmon salt salute sample sandal sapling sapphire sardine satchel satin saucer sausage
sawdust saxophone scale scan scarf scatter scheme school science scissors scooter scorpion scout scrap screen
script scrub sculptor seagull seahorse search season seaweed second secret section security seek segment select
seminar senior sense sentence sequoia series service sesame session settle setup seven shadow shaft shallow
shamrock share shed shell shepherd sheriff shield shine ship shiver shock shoe short shoulder shovel shrimp
shrug shuffle sibling sickle signal silent silver similar simple since siren sister situate six size skate
sketch skill skin skirt skylark slab sledge sleep slender slice slide slight slim slipper slogan slot slush
small smart smile smooth snack snail snake snap sniff snorkel snow soccer social soda soft solar soldier solid
solution solve sombrero someone sonata sound soup south space spaniel spatial spawn speak special speed spell
spend sphere spider spike spinach spirit spoil sponsor spoon sport spray spread spring spruce spy spyglass
square squeeze squirrel stable stadium staff stage stairs stallion stamp stand stapler start stay steam steeple
stencil step stereo stick still sting stirrup stomach stone stool stopwatch stork stove strategy stream stripe
strong student stuff stumble sturgeon subject submit subway success sudden sugar suggest suit sulphur sultan
summer sundial sunflower sunny sunset super supply supreme sure surface surprise surround survey suspect sustain
swallow swamp swarm sweater swift switch swordfish sycamore symphony syrup system tablet tackle tadpole taffeta
tailor talent talk talon tango tape target tarragon tartan taste tattoo taxi teach teapot teaspoon telescope
tell temple ten tenant tennis term terrace text thank that theme theory thick thimble thing thirteen thistle
thought thread thrive throw thumb thunder ticket tiger timber tinsel tiny tip tired tissue title today toddler
toffee together token tomato tomorrow tongue tonight tooth topaz topic topple torch tornado tortoise total
toucan tourist toward tower tractor trade traffic train transfer trapeze travel tray treat tree trellis trend
trial tribe trident trigger trim tripod trolley trombone troop trophy trouble trowel truck truffle truly trumpet
trust truth tube tugboat tulip tuna tundra tunnel turbine turkey turnip turquoise turtle tuxedo tweed twelve
twenty twice twilight twin twist typhoon typical umbrella uncle uncover under unfold unicorn uniform unique unit
universe unknown until unveil upgrade uphold upon upper upstairs urban urchin urge usage used useful usual
utility vaccine vacuum vague valet valid valley valve vanguard vanish vapor various vast vault vehicle velvet
vendor venture venue veranda verify version very vessel veteran viable viaduct vibrant victory video view
village vinegar vintage violet viper virtual visa visit visor visual vital vivid vixen vocal voice volcano
volume vote voyage vulture waffle wagon waistcoat walkway wallet walnut walrus want wardrobe warehouse warrior
water wealth weasel weaver web wedding weekend welcome wharf wheat when where whisper wicker widget width wigwam
wild willow window wing winter wire wisdom witness wizard woman wombat wonder woodland work world worth wreath
wrestle wrist yacht yard yeast yellow yes yodel yogurt yonder young zebra zeppelin zero zigzag zinc zipper
zodiac zoo zucchini
"""
SPOKEN_WORDS = tuple(_LIST.split())

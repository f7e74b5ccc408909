"""Sentences for `semantic.py`: each with a paraphrase, and a German and a French translation."""

PAIRS = (
    (
        "The bridge was closed for three weeks after engineers found cracks in its supports.",
        "Engineers discovered fractures in the pillars, so nobody could cross the bridge for three weeks.",
        "Die Brücke war drei Wochen lang gesperrt, nachdem Ingenieure Risse in den Pfeilern gefunden hatten.",
        "Le pont a été fermé pendant trois semaines après que des ingénieurs ont trouvé des fissures.",
    ),
    (
        "Bees can recognise human faces, according to a study published last year.",
        "Research that came out last year shows honeybees are able to tell people's faces apart.",
        "Bienen können laut einer im letzten Jahr veröffentlichten Studie menschliche Gesichter erkennen.",
        "Selon une étude publiée l'an dernier, les abeilles peuvent reconnaître des visages humains.",
    ),
    (
        "Bake the bread at 220 degrees for half an hour, until the crust is dark brown.",
        "Leave the loaf in a 220-degree oven for thirty minutes, until its crust turns a deep brown.",
        "Backen Sie das Brot eine halbe Stunde lang bei 220 Grad, bis die Kruste dunkelbraun ist.",
        "Faites cuire le pain à 220 degrés pendant une demi-heure, jusqu'à ce que la croûte soit brune.",
    ),
    (
        "The company will lay off two thousand workers at its factory in Ohio.",
        "Two thousand employees of the firm's Ohio plant are going to lose their jobs.",
        "Das Unternehmen wird in seinem Werk in Ohio zweitausend Arbeiter entlassen.",
        "L'entreprise va licencier deux mille ouvriers dans son usine de l'Ohio.",
    ),
    (
        "Heavy snow stopped all trains between the capital and the northern coast.",
        "No trains ran from the capital to the north coast because of heavy snowfall.",
        "Starker Schneefall legte alle Züge zwischen der Hauptstadt und der Nordküste lahm.",
        "De fortes chutes de neige ont arrêté tous les trains entre la capitale et la côte nord.",
    ),
    (
        "Her first novel was rejected by eleven publishers before it won a prize.",
        "Eleven publishing houses turned down her debut novel, which later received an award.",
        "Ihr erster Roman wurde von elf Verlagen abgelehnt, bevor er einen Preis gewann.",
        "Son premier roman a été refusé par onze éditeurs avant de remporter un prix.",
    ),
    (
        "Doctors advise people over sixty to have their blood pressure checked every year.",
        "Physicians recommend an annual blood pressure test for anyone older than sixty.",
        "Ärzte raten Menschen über sechzig, jedes Jahr ihren Blutdruck messen zu lassen.",
        "Les médecins conseillent aux personnes de plus de soixante ans un contrôle annuel de la tension.",
    ),
    (
        "The museum bought a painting that had been lost since the war.",
        "A picture missing since wartime has been acquired by the museum.",
        "Das Museum kaufte ein Gemälde, das seit dem Krieg verschollen war.",
        "Le musée a acheté un tableau qui était perdu depuis la guerre.",
    ),
    (
        "Press the red button twice to reset the alarm.",
        "To reset the alarm, push the red button two times.",
        "Drücken Sie zweimal auf den roten Knopf, um den Alarm zurückzusetzen.",
        "Appuyez deux fois sur le bouton rouge pour réinitialiser l'alarme.",
    ),
    (
        "Wolves have returned to the valley for the first time in a century.",
        "For the first time in a hundred years there are wolves in the valley again.",
        "Zum ersten Mal seit einem Jahrhundert sind Wölfe in das Tal zurückgekehrt.",
        "Les loups sont revenus dans la vallée pour la première fois depuis un siècle.",
    ),
    (
        "The mayor promised to build five hundred flats for young families.",
        "Five hundred apartments for young families will be built, the mayor pledged.",
        "Der Bürgermeister versprach, fünfhundert Wohnungen für junge Familien zu bauen.",
        "Le maire a promis de construire cinq cents appartements pour les jeunes familles.",
    ),
    (
        "Water expands when it freezes, which is why pipes burst in winter.",
        "Pipes break in cold weather because freezing water takes up more space.",
        "Wasser dehnt sich beim Gefrieren aus, deshalb platzen im Winter die Rohre.",
        "L'eau se dilate en gelant, c'est pourquoi les tuyaux éclatent en hiver.",
    ),
    (
        "The goalkeeper saved a penalty in the last minute of the match.",
        "In the final minute of the game the goalie stopped a penalty kick.",
        "Der Torwart hielt in der letzten Minute des Spiels einen Elfmeter.",
        "Le gardien a arrêté un penalty à la dernière minute du match.",
    ),
    (
        "Students must hand in their essays by Friday at noon.",
        "The deadline for students to submit their essays is midday on Friday.",
        "Studierende müssen ihre Aufsätze bis Freitagmittag abgeben.",
        "Les étudiants doivent rendre leurs dissertations avant vendredi midi.",
    ),
    (
        "The volcano erupted without warning and covered the village in ash.",
        "With no warning the volcano erupted, burying the village under ash.",
        "Der Vulkan brach ohne Vorwarnung aus und bedeckte das Dorf mit Asche.",
        "Le volcan est entré en éruption sans avertissement et a couvert le village de cendres.",
    ),
    (
        "She learned to play the violin at the age of four from her grandfather.",
        "Her grandfather taught her the violin when she was four years old.",
        "Sie lernte mit vier Jahren von ihrem Großvater Geige spielen.",
        "Elle a appris le violon à l'âge de quatre ans avec son grand-père.",
    ),
    (
        "Interest rates rose by half a percent, the largest increase in ten years.",
        "Rates went up half a point, more than at any time in the past decade.",
        "Die Zinsen stiegen um ein halbes Prozent, der größte Anstieg seit zehn Jahren.",
        "Les taux d'intérêt ont augmenté d'un demi pour cent, la plus forte hausse depuis dix ans.",
    ),
    (
        "The ferry to the island leaves every two hours from the old harbour.",
        "Boats to the island depart from the old port every other hour.",
        "Die Fähre zur Insel fährt alle zwei Stunden vom alten Hafen ab.",
        "Le ferry pour l'île part toutes les deux heures du vieux port.",
    ),
    (
        "A short walk after dinner lowers the level of sugar in the blood.",
        "Blood sugar falls if you go for a brief walk after your evening meal.",
        "Ein kurzer Spaziergang nach dem Abendessen senkt den Blutzuckerspiegel.",
        "Une courte promenade après le dîner fait baisser le taux de sucre dans le sang.",
    ),
    (
        "Archaeologists uncovered a Roman bath beneath the car park.",
        "Under the parking lot archaeologists have found a bathhouse from Roman times.",
        "Archäologen legten unter dem Parkplatz ein römisches Bad frei.",
        "Des archéologues ont découvert des thermes romains sous le parking.",
    ),
)
"""The sentence, a paraphrase of it, and its translations into German and French."""

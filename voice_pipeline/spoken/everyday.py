"""Words that everybody who telephones in English says all the time.

Decides which words are no surprise: what a recognizer writes when it hears English is made of them,
and what it writes when it hears something else is not. Chosen by us from common talk and the trade.
"""

from __future__ import annotations

from voice_pipeline.spoken.words import vocabulary

# Words without which no sentence is made: a recognizer puts these into anything.
FUNCTION = vocabulary(
    """
    a an the and or but if so as at by for from in into of off on out over to up with about than
    i me my mine you your yours he him his she her hers it its we us our they them their this that
    these those who whom which what there here am is are was were be been being do does did have
    has had will would can could shall should may might must not no nor too very just
    i'm i've i'll i'd you're you've you'll you'd he's she's it's we're we've we'll they're that's
    there's what's don't doesn't didn't isn't aren't wasn't weren't can't couldn't won't wouldn't
    haven't hasn't let's
    """
)

# What is said with them.
CONTENT = vocabulary(
    """
    able absolutely account actually address afraid after afternoon again agent ago all already
    alright also always am another answer any anybody anyone anything anyway appointment april
    around ask asked august available away back bad balance bank because before below best
    better between big bill billing birth bit book both box branch bring bye call called caller
    calling calls came card care case cent cents certainly change changed charge charged check
    city close closed code come comes coming company complaint confirm contract copy correct
    cost could course credit customer date daughter day days dear debit december definitely
    delay deliver delivered delivery department details different dollar dollars done door
    double down driver each early eight eighteen eighty either eleven else email end enough
    error euro euros even evening ever every everything exactly expect expired explain extra
    family far february fee feel few fifteen fifty file find fine finish first five form forty
    found four fourteen friday friend full gave get getting give given go goes going gone good
    goodbye goodness got great guess half hand happen happened happens happy hard hear heard
    hello help hi hmm hold home hope hour hours house how huh hundred husband idea important
    information inside instead insurance internet january job july june keep kept kind knew know
    last late later least leave left less let letter life like line listen little live long
    longer look looking lost lot love lovely luck made mail make making man manager many march
    matter maybe mean means message might mind minute minutes moment monday money month monthly
    months more morning most mother move moving much myself name near need needed never new news
    next nice night nine nineteen ninety nobody none nothing november now number o'clock october
    offer office often oh ok okay old once one only open order ordered other own package page
    paid paper parcel part password past pay paying payment people per percent perfect perhaps
    person phone place plan please pm point policy possible post pound pounds problem properly
    put question quick quite rather read ready really reason receive received record reference
    refund remember repeat report request right road room said same saturday save saw say saying
    says second security see seems seen send sense sent september service set seven seventeen
    seventy ship shop should show side since sir six sixteen sixty small some somebody someone
    something sometimes son soon sorry sort speak speaking spell start started state still stop
    store street such sunday supervisor supposed sure system take taken taking talk team tell
    ten thank thanks then thing things think thirteen thirty thought thousand three through
    thursday ticket till time times today together told tomorrow tonight took town transfer
    tried trouble true try trying tuesday turn twelve twenty twice two uh um understand until
    update use used usually wait waiting want wanted wants way website wednesday week weekend
    weeks welcome well went when where while whole why wife without woman word words work worked
    working worry wow write wrong yeah year years yep yes yesterday yet young yup zero zip
    """
)

EVERYDAY = FUNCTION | CONTENT

from harness.oracle.established import phases as phases, predict as predict

"""A study folder as data, and numbers as text.

study_data  StudyData and load_study: manifest, trials and tables of a study folder
knob_text   searched knobs in words, and the leading knobs of a report
wording     fractions, points, intervals and lists in words
"""

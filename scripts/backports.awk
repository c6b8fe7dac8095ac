# Prints the deb822 source of the backports of `release`, made from the first source in an apt file that
# has `release` itself: same mirror, same key. Exit code 1 when the file has none.
# -v release=NAME -v deb822=1 for .sources files, empty for one-line files.

function has(words, word) { return index(" " words " ", " " word " ") > 0 }

function print_source(uris, key) {
  print "Types: deb\nURIs: " uris "\nSuites: " release "-backports\nComponents: main"
  if (key != "") print "Signed-By:" key
  found = 1
  exit
}

function end_of_stanza() {
  if (has(field["types"], "deb") && has(field["suites"], release) && field["enabled"] != "no")
    print_source(field["uris"], key)
  split("", field)
  key = ""
}

/^[ \t]*#/ { next }

!deb822 && $1 == "deb" {
  key = ""
  line = $0
  if (match(line, /\[[^]]*\]/)) {
    options = substr(line, RSTART + 1, RLENGTH - 2)
    line = substr(line, 1, RSTART - 1) substr(line, RSTART + RLENGTH)
    if (match(options, /signed-by=[^ ]*/)) key = " " substr(options, RSTART + 10, RLENGTH - 10)
  }
  split(line, word, " ")
  if (word[3] == release) print_source(word[2], key)
}

deb822 && /^[ \t]*$/ { end_of_stanza(); next }

deb822 && /^[^ \t]+:/ {
  name = tolower(substr($0, 1, index($0, ":") - 1))
  value = substr($0, index($0, ":") + 1)
  if (name == "signed-by") { key = value; next }
  gsub(/^[ \t]+|[ \t]+$/, "", value)
  field[name] = value
  next
}

# A continuation line: a key block, or more words.
deb822 { if (name == "signed-by") key = key "\n" $0; else field[name] = field[name] " " $1 }

END { if (!found && deb822) end_of_stanza(); exit !found }

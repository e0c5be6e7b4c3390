# SPDX-License-Identifier: Apache-2.0
# Style sheets and scripts without the blanks and comments that browsers do not need: what
# is written to be read is three quarters as large when it is sent. Knows quotes; comments
# stand on lines of their own. Set css=1 for style sheets, where more blanks mean something.

function is_word(c) { return c ~ /[A-Za-z0-9_$]/ || c > "~" }

# Blanks outside quotes go when one neighbour is no part of a word, "+ +" stays; the
# semicolon before a closing brace goes (none of ours is an empty statement), and so do the
# brackets around a lone parameter.
function squeeze_js(s,    i, c, out, quote, last, rest) {
  out = ""
  quote = ""
  for (i = 1; i <= length(s); i++) {
    c = substr(s, i, 1)
    if (quote != "") {
      out = out c
      if (c == "\\") {
        i++
        out = out substr(s, i, 1)
      } else if (c == quote)
        quote = ""
      continue
    }
    if (c == "\"" || c == "'" || c == "`")
      quote = c
    if (c == "/" && substr(s, i, 2) == "//" && last == " ")
      break
    last = c
    if (c == "}")
      sub(/;$/, "", out)
    if (substr(s, i, 2) == "=>" && match(out, /[^A-Za-z0-9_$]\([A-Za-z_$]+\)$/))
      out = substr(out, 1, RSTART) substr(out, RSTART + 2, RLENGTH - 3)
    if (c == " ") {
      rest = substr(s, i + 1, 1)
      if (!is_word(substr(out, length(out), 1)) || !is_word(rest))
        if (!(substr(out, length(out), 1) ~ /[+-]/ && rest ~ /[+-]/))
          continue
    }
    out = out c
  }
  return out
}

function squeeze_css(s) {
  if (s !~ /"/) {
    gsub(/: +/, ":", s)
    gsub(/, +/, ",", s)
  }
  gsub(/ *\{ */, "{", s)
  gsub(/; *\}/, "}", s)
  gsub(/ *\} */, "}", s)
  gsub(/; +/, ";", s)
  if (s !~ /@media/)
    gsub(/ > /, ">", s)
  return s
}

{
  sub(/^[ \t]+/, "")
  if (comment || $0 ~ /^\/\*/) {
    comment = $0 !~ /\*\/[ \t]*$/
    next
  }
  if ($0 == "" || $0 ~ /^\/\//)
    next
  if (css)
    printf "%s", squeeze_css($0)
  else {
    # Here no semicolon is left to the browser, so a line may go on behind one of these.
    line = squeeze_js($0)
    gsub(/(^|[;{}( ])const /, "&\001", line)
    gsub(/const \001/, "let ", line)
    if (held && line !~ /^}/)
      printf ";"
    held = sub(/;$/, "", line)
    printf held || line ~ /[{,(\[]$/ ? "%s" : "%s\n", line
  }
}
END {
  if (held)
    printf ";"
}

# bash completion of espctl and espscope
_espctl() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
  case $prev in
    --socket) COMPREPLY=($(compgen -f -- "$cur")); return ;;
    ike) COMPREPLY=($(compgen -W "list initiate terminate rekey stats reload events" -- "$cur")); return ;;
  esac
  case $cur in
    -*) COMPREPLY=($(compgen -W "--socket --json --help --interval --count" -- "$cur")) ;;
    *) COMPREPLY=($(compgen -W "status sa policy card stats health events drain resume reset reload top ike" -- "$cur")) ;;
  esac
}
complete -F _espctl espctl
_espscope() {
  local cur=${COMP_WORDS[COMP_CWORD]}
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "regs rings slots sa events errors health assert top record show diff stats journey replay inject bundle open doctor" -- "$cur"))
  else
    COMPREPLY=($(compgen -f -W "--json --socket --help" -- "$cur"))
  fi
}
complete -F _espscope espscope

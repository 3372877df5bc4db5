'use strict'

const { HELP } = require('./options')
const { OPTIONS } = require('./session-args')
const commands = require('./commands')

/** @returns {Array<{name: string, summary: string, options: object, operands: object[]}>} the session comes first */
function everything () {
  const { repl, ...others } = OPTIONS
  const session = { ...others, 'no-repl': { ...repl, help: 'no prompt: ndjson in and out' } } // the default needs no completion
  return [
    { name: '', summary: '', options: session, operands: [{ name: 'SCHEMA', value: 'FILE' }] },
    ...commands.all().map(({ name, summary, options, operands }) => ({ name, summary, operands, options: { ...options, help: HELP } }))
  ]
}

/** How a value is completed: with files, folders, words, or not at all. */
function kind ({ value, choices }) {
  if (choices) return 'words'
  return { FILE: 'file', DIR: 'dir', COMMAND: 'words' }[value] ?? 'none'
}

function wordsOf ({ value, choices }) {
  return choices ?? (value === 'COMMAND' ? commands.NAMES : [])
}

/** Text for single quotes in a shell. */
function quoted (text) {
  return `'${text.replace(/'/g, "'\\''")}'`
}

function bash () {
  const all = everything()
  const flags = ({ options }) => Object.keys(options).map((name) => `--${name}`).join(' ')
  const takesValue = all.flatMap(({ name, options }) => Object.entries(options).filter(([, { type }]) => type === 'string')
    .map(([option, how]) => ({ pattern: `${name}:--${option}`, how })))
  const reply = (how) => ({
    file: 'COMPREPLY=($(compgen -f -- "$cur"))',
    dir: 'COMPREPLY=($(compgen -d -- "$cur"))',
    words: `COMPREPLY=($(compgen -W "${wordsOf(how).join(' ')}" -- "$cur"))`,
    none: 'COMPREPLY=()'
  })[kind(how)]
  return `# bash completion of hypem: hypem completions bash > /etc/bash_completion.d/hypem
_hypem () {
  local cur="\${COMP_WORDS[COMP_CWORD]}" prev="\${COMP_WORDS[COMP_CWORD-1]}" command="\${COMP_WORDS[1]}"
  compopt -o filenames 2>/dev/null
  case " ${commands.NAMES.join(' ')} " in *" $command "*) [ "$COMP_CWORD" -gt 1 ] || command= ;; *) command= ;; esac
  case "$command:$prev" in
${takesValue.map(({ pattern, how }) => `    ${pattern}) ${reply(how)}; return ;;`).join('\n')}
  esac
  if [[ "$cur" == -* ]]; then
    case "$command" in
${all.map((command) => `      ${command.name || "''"}) COMPREPLY=($(compgen -W "${flags(command)}" -- "$cur")) ;;`).join('\n')}
    esac
    return
  fi
  case "$command" in
${all.map(({ name, operands }) => `      ${name || "''"}) ${operands.length > 0 ? reply(operands[0]) : 'COMPREPLY=()'} ;;`).join('\n')}
  esac
  if [ "$COMP_CWORD" -eq 1 ]; then COMPREPLY+=($(compgen -W "${commands.NAMES.join(' ')}" -- "$cur")); fi
}
complete -F _hypem hypem
`
}

function zsh () {
  const action = (how) => ({ file: ':_files', dir: ':_files -/', words: `:(${wordsOf(how).join(' ')})`, none: ':' })[kind(how)]
  const text = (help) => help.replace(/[[\]:\\]/g, '\\$&')
  const specs = ({ options, operands }) => [
    ...Object.entries(options).map(([name, option]) => {
      const names = option.short ? `(-${option.short} --${name})'{-${option.short},--${name}}'` : `--${name}`
      const value = option.type === 'string' ? `:${option.value}${action(option)}` : ''
      const many = option.multiple ? '*' : ''
      return `'${many}${names}[${text(option.help).replace(/'/g, "'\\''")}]${value}'`
    }),
    ...operands.map((operand, at) => `'${operand.many ? '*' : at + 1}:${operand.optional ? ':' : ''}${operand.name}${action(operand)}'`)
  ].map((spec) => `      ${spec}`).join(' \\\n')
  const [session, ...others] = everything()
  return `#compdef hypem
# zsh completion of hypem: hypem completions zsh > "\${fpath[1]}/_hypem"
_hypem () {
  local -a commands
  commands=(
${others.map(({ name, summary }) => `    ${quoted(`${name}:${summary}`)}`).join('\n')}
  )
  if (( CURRENT == 2 )) && [[ "$words[2]" != -* ]]; then
    _describe -t commands command commands
    _files
    return
  fi
  local command="$words[2]"
  case "$command" in
${others.map((command) => `    ${command.name})\n      shift words; (( CURRENT-- ))\n      _arguments -s \\\n${specs(command)} ;;`).join('\n')}
    *)
      _arguments -s \\
${specs(session)} ;;
  esac
}
_hypem "$@"
`
}

function fish () {
  const [session, ...others] = everything()
  const lines = ['# fish completion of hypem: hypem completions fish > ~/.config/fish/completions/hypem.fish', 'complete -c hypem -f']
  const never = `not __fish_seen_subcommand_from ${commands.NAMES.join(' ')}`
  const action = (how) => ({ file: '-r -F', dir: "-x -a '(__fish_complete_directories)'", words: `-x -a ${quoted(wordsOf(how).join(' '))}`, none: '-x' })[kind(how)]
  for (const { name, summary } of others) lines.push(`complete -c hypem -n ${quoted(`__fish_is_first_token; and ${never}`)} -a ${name} -d ${quoted(summary)}`)
  for (const { name, options, operands } of [session, ...others]) {
    const when = quoted(name ? `__fish_seen_subcommand_from ${name}` : never)
    for (const operand of operands) lines.push(`complete -c hypem -n ${when} ${action(operand).replace(/^-[rx] /, '')}`)
    for (const [option, how] of Object.entries(options)) {
      lines.push(`complete -c hypem -n ${when} -l ${option}${how.short ? ` -s ${how.short}` : ''}${how.type === 'string' ? ` ${action(how)}` : ''} -d ${quoted(how.help)}`)
    }
  }
  return lines.join('\n') + '\n'
}

module.exports = { bash, zsh, fish }

// Numbers as people read them. Every figure has its unit with it.

const none = '–'

export function count(n: number | null | undefined): string {
  if (n === null || n === undefined || Number.isNaN(n)) return none
  if (Math.abs(n) >= 1e9) return `${trim(n / 1e9)} G`
  if (Math.abs(n) >= 1e6) return `${trim(n / 1e6)} M`
  if (Math.abs(n) >= 1e4) return `${trim(n / 1e3)} k`
  return n % 1 === 0 ? n.toLocaleString('en') : trim(n)
}

function trim(n: number): string {
  return Math.abs(n) >= 100 ? Math.round(n).toLocaleString('en') : Math.abs(n) >= 10 ? n.toFixed(1).replace(/\.0$/, '') : n.toFixed(2).replace(/\.?0+$/, '')
}

export function rate(n: number | null | undefined): string {
  return n === null || n === undefined ? none : `${count(n)}/s`
}

/** Microseconds. */
export function micros(us: number | null | undefined): string {
  return us === null || us === undefined ? none : millis(us / 1000)
}

/** A length of time in milliseconds. */
export function millis(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) return none
  if (ms < 0) return `−${millis(-ms)}`
  if (ms === 0) return '0 ms'
  if (ms < 1) return `${trim(ms * 1000)} µs`
  if (ms < 1000) return `${trim(ms)} ms`
  const s = ms / 1000
  if (s < 60) return `${trim(s)} s`
  if (s < 3600) return `${Math.floor(s / 60)} min ${Math.floor(s % 60)} s`
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`
}

export function bytes(n: number | null | undefined): string {
  if (n === null || n === undefined) return none
  if (n < 1024) return `${n} B`
  if (n < 1024 ** 2) return `${trim(n / 1024)} KiB`
  if (n < 1024 ** 3) return `${trim(n / 1024 ** 2)} MiB`
  return `${trim(n / 1024 ** 3)} GiB`
}

/** Processors in use. */
export function cores(n: number | null | undefined): string {
  return n === null || n === undefined ? none : n.toFixed(2)
}

/** A moment, to the second. */
export function clock(ms: number): string {
  return new Date(ms).toLocaleTimeString('en-GB')
}

export function moment(ms: number): string {
  const d = new Date(ms)
  return `${d.getFullYear()}-${pad(d.getMonth() + 1)}-${pad(d.getDate())} ${clock(ms)}`
}

function pad(n: number): string {
  return String(n).padStart(2, '0')
}

/** The type of an object, in memory or not, is what its id begins with. */
export function typeOf(id: string): string {
  return id.split('-', 1)[0] ?? ''
}

/** "1 node", "3 nodes". */
export function plural(n: number, one: string, many = `${one}s`): string {
  return `${count(n)} ${n === 1 ? one : many}`
}

/** The value below which a part of all lies. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.ceil(part * sorted.length) - 1)] ?? NaN
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** A line of a table in Markdown. */
export function row(...cells: (string | number)[]): string {
  return `| ${cells.map((c) => (typeof c === 'number' ? String(Math.round(c)) : c)).join(' | ')} |`
}

import type { ComponentChildren } from 'preact'

export interface Column<Row> {
  head: string
  cell: (row: Row) => ComponentChildren
  /** Numbers stand at the right. */
  number?: boolean
  /** The sort that the column's head asks for. */
  sort?: string
}

interface Props<Row> {
  caption: string
  columns: Column<Row>[]
  rows: readonly Row[]
  id: (row: Row) => string | number
  empty: string
  sort?: string
  onSort?: (sort: string) => void
}

/** A table that scrolls in itself when the window is narrow, never the page. */
export function Table<Row>({ caption, columns, rows, id, empty, sort, onSort }: Props<Row>) {
  return (
    <div class="scroll" role="group" aria-label={caption} tabIndex={0}>
      <table>
        <caption class="hidden">{caption}</caption>
        <thead>
          <tr>
            {columns.map((c) => (
              <th
                key={c.head}
                scope="col"
                class={c.number ? 'number' : ''}
                {...(c.sort !== undefined && c.sort === sort ? { 'aria-sort': 'descending' as const } : {})}
              >
                {c.sort !== undefined && onSort ? (
                  <button type="button" class="head" onClick={() => onSort(c.sort!)}>
                    {c.head}
                    {c.sort === sort ? ' ↓' : ''}
                  </button>
                ) : (
                  c.head
                )}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={id(row)}>
              {columns.map((c) => (
                <td key={c.head} class={c.number ? 'number' : ''}>
                  {c.cell(row)}
                </td>
              ))}
            </tr>
          ))}
          {rows.length === 0 && (
            <tr>
              <td class="empty" colSpan={columns.length}>
                {empty}
              </td>
            </tr>
          )}
        </tbody>
      </table>
    </div>
  )
}

import { plural } from '../state/format'
import { nodes } from '../state/store'
import { Empty } from '../ui/parts'
import { NodeTable } from './overview'

export function Nodes() {
  const all = nodes.value
  return (
    <>
      <h1>Nodes</h1>
      {all ? (
        <>
          <p class="muted">{plural(all.length, 'node')}; one that left stays for a minute.</p>
          <NodeTable rows={all} all />
        </>
      ) : (
        <Empty>Listening…</Empty>
      )}
    </>
  )
}

import { plural } from '../state/format'
import { coarsest } from '../state/node'
import { nodes } from '../state/store'
import { Empty, Estimates } from '../ui/parts'
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
          <Estimates sampling={coarsest(all)} />
        </>
      ) : (
        <Empty>Listening…</Empty>
      )}
    </>
  )
}

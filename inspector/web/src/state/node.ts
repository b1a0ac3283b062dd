// What is known of a node now.
import type { ClusterNode } from '../api/types'

/** Figures that are of a second, or null: of a node that tells nothing they are not 0 but unknown. */
export type Momentary = { [K in 'calls' | 'errors' | 'cpu' | 'waiting']: number | null }

/** The node has told nothing for a while: it hangs, or cannot be reached. */
export function isSilent(n: ClusterNode): boolean {
  return n.state !== 'gone' && n.silent_for > 0
}

export function momentary(n: ClusterNode): Momentary {
  if (n.state === 'gone' || isSilent(n)) return { calls: null, errors: null, cpu: null, waiting: null }
  const { calls, errors, cpu, waiting } = n
  return { calls, errors, cpu, waiting }
}

/** The coarsest of what nodes have sampled: 1 while all count each call. */
export function coarsest(nodes: readonly ClusterNode[]): number {
  return Math.max(1, ...nodes.map((n) => n.sampling))
}

/** Why its shards go to other nodes, in words; '': they do not, or it is not known. */
export function farewell(n: ClusterNode): string {
  if (n.stopping) {
    return 'It is being stopped: it takes no calls of clients any more, hands its shards over where there is another node, and leaves.'
  }
  return n.drain ? 'An operator wants it empty: its shards go to other nodes. The process goes on until it is stopped.' : ''
}

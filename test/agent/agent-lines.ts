import type { Agent } from '../../agent/agent.js';
import type { Event, PodStatus } from '../../agent/api/index.js';

/** What the agent under test says on its standard output, one JSON object a line. */
export type AgentLine =
  | { readonly kind: 'started' }
  /** Nothing of pods that nobody wants is left from earlier runs. */
  | { readonly kind: 'tidy' }
  /** A named point between two deeds. */
  | { readonly kind: 'at'; readonly point: string }
  | {
      readonly kind: 'pod';
      readonly uid: string;
      readonly name: string;
      readonly phase: string;
      readonly ready: boolean;
      readonly restarts: number;
      readonly ip: string;
      readonly waits: readonly string[];
      readonly status: PodStatus;
    }
  | { readonly kind: 'gone'; readonly uid: string }
  | { readonly kind: 'event'; readonly event: Event }
  /** The answer to a command. */
  | { readonly kind: 'reply'; readonly id: number; readonly value?: unknown; readonly error?: string };

/** What a test may ask of the agent on its standard input, one JSON object a line; each is answered by a `reply`. */
export type AgentCommand =
  /** As `berth apply` does, of objects in YAML; `raw` leaves validation out (what a subresource would add). */
  | { readonly do: 'apply'; readonly manifest: string; readonly raw?: boolean | undefined }
  | {
      readonly do: 'delete';
      readonly kind: string;
      readonly namespace: string;
      readonly name: string;
      readonly graceSeconds?: number | undefined;
    }
  /** Runs a command in a container; the reply's value is an `ExecResult`. */
  | { readonly do: 'exec'; readonly containerId: string; readonly command: readonly string[] }
  | { readonly do: 'retry'; readonly uid: string }
  /** From now on this point is the agent's end, by SIGKILL. */
  | { readonly do: 'die-at'; readonly point: string }
  /** The reply's value is the agent's `RuntimeHealth`. */
  | { readonly do: 'health' }
  /** What the node says of itself; the reply's value is a `NodeAnswer`. */
  | { readonly do: 'node' }
  /** As `berth images import` does. */
  | { readonly do: 'import'; readonly path: string; readonly reference: string }
  /** As `berth get manifests` does; the reply's value is a list of `ManifestReport`s. */
  | { readonly do: 'manifests' };

export interface ExecResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export type NodeAnswer = Pick<Agent, 'capacity' | 'allocatable' | 'conditions'>;

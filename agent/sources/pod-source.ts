import type { KubeObject, ManifestProblem, Pod, PodSourceName } from '../api/index.js';

/** Everything a source wants to run at one moment: what is not in it is to be removed, unless it is partial. */
export interface SourceSnapshot {
  readonly source: PodSourceName;
  readonly pods: readonly Pod[];
  /** Objects of other kinds that came with the pods, for the local control plane. */
  readonly objects: readonly KubeObject[];
  /** A part of the source could not be read yet: what is in the snapshot is to run, and what is not may still be wanted. */
  readonly partial?: boolean | undefined;
}

export interface ReportedProblem extends ManifestProblem {
  /** `Pod default/web`, when the problem is of one object and it could be told. */
  readonly object?: string | undefined;
}

export interface ManifestReport {
  /** Path of the file, or the URL. */
  readonly file: string;
  readonly ok: boolean;
  readonly problems: readonly ReportedProblem[];
  /** What of it is in force, `kept` where it is the last good version of something that is broken now. */
  readonly objects: ReadonlyArray<{ readonly kind: string; readonly key: string; readonly kept: boolean }>;
}

export interface PodSource {
  readonly name: PodSourceName;
  /** How each manifest was understood; changes with each snapshot and with each failed read. */
  readonly reports: readonly ManifestReport[];
  /**
   * Delivers the full set at once when it is known and whenever it changes, until the signal aborts. What it holds never
   * makes it reject; a source that cannot be read at all delivers nothing, and nobody may take that for an empty set.
   */
  run(deliver: (snapshot: SourceSnapshot) => void, signal: AbortSignal): Promise<void>;
  /** Looks again now. */
  wake(): void;
}

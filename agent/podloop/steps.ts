import type { ContainerKind } from '../api/index.js';

/** Why a container is ended; becomes the `Killing` event and decides grace and hooks. */
export type KillWhy =
  | { readonly kind: 'pod-terminating' }
  | { readonly kind: 'liveness-failed' | 'startup-failed'; readonly message: string }
  | { readonly kind: 'spec-changed' }
  | { readonly kind: 'sandbox-changed' }
  | { readonly kind: 'state-unknown' }
  | { readonly kind: 'post-start-failed'; readonly message: string }
  | { readonly kind: 'restart-all' }
  /** Its new resources are taken only by a new start. */
  | { readonly kind: 'resize' }
  | { readonly kind: 'not-wanted' };

/** Restart back-off of one container; memory of the loop, gone with the agent as in the kubelet. */
export interface RestartBackoff {
  /** How long the container stays down after it ends next. */
  readonly delayMs: number;
  /** When the restart was begun that made the delay what it is, ms. */
  readonly at: number;
  /** Image and resources it counts for: others start afresh. */
  readonly key: string;
}

/**
 * What a pod pass may do. Data, not code: the planner decides, one executor per kind acts. Every step is idempotent ("already so"
 * is success), may be repeated after a crash, and runs as an operation beside the loop: a pass never waits for one.
 */
export type Step =
  /** Folders (0750), pod cgroup, allocated devices and user namespace range. */
  | { readonly kind: 'prepare-pod' }
  | { readonly kind: 'mount-volumes' }
  | { readonly kind: 'create-sandbox'; readonly attempt: number }
  /** Resolves the image by its pull policy and remembers its id. `container` names whose policy and secrets apply. */
  | { readonly kind: 'ensure-image'; readonly container: string; readonly image: string }
  /** Config, create, start, postStart hook. */
  | {
      readonly kind: 'start-container';
      readonly container: string;
      readonly role: ContainerKind;
      readonly sandboxId: string;
      readonly imageId: string;
      readonly restartCount: number;
      /** Set for a restart: the back-off from now on, noted when the step begins (`stepNotes`). */
      readonly backoff?: RestartBackoff | undefined;
    }
  /** preStop hook within the grace, stop signal, SIGKILL. Issued again with less grace, it shortens the one under way. */
  | {
      readonly kind: 'kill-container';
      readonly container: string;
      readonly containerId: string;
      readonly why: KillWhy;
      readonly graceSeconds: number;
      readonly preStop: boolean;
    }
  /** The preStop hook of a sidecar that is to be killed later: it begins with the end of the pod, whoever's turn it is to stop. */
  | {
      readonly kind: 'pre-stop';
      readonly container: string;
      readonly containerId: string;
      readonly graceSeconds: number;
    }
  /** Gives the pod's cgroup and the containers that run what the pod is promised now. */
  | { readonly kind: 'resize-pod' }
  /** Moves containers that run to the CPUs they share, or have for themselves, now. */
  | { readonly kind: 'pin-containers' }
  | { readonly kind: 'stop-sandbox'; readonly sandboxId: string }
  /** Log files of the instance go with it, unless `keepLogs`. */
  | {
      readonly kind: 'remove-container';
      readonly container: string;
      readonly containerId: string;
      readonly keepLogs: boolean;
      /** The instance was made and never started: that its removal ends it must not count as an end. */
      readonly neverRan?: true | undefined;
    }
  | { readonly kind: 'remove-sandbox'; readonly sandboxId: string }
  | { readonly kind: 'unmount-volumes' }
  /** Cgroup, folders, devices, user namespace range given back; after this nothing of the pod is on the machine. */
  | { readonly kind: 'release-pod' };

export type StepOf<K extends Step['kind']> = Extract<Step, { kind: K }>;

/** One operation per key at a time; also where its failure is remembered. */
export function stepKey(step: Step): string {
  switch (step.kind) {
    case 'prepare-pod':
    case 'mount-volumes':
    case 'create-sandbox':
    case 'resize-pod':
    case 'pin-containers':
    case 'unmount-volumes':
    case 'release-pod':
      return step.kind;
    case 'ensure-image':
    case 'start-container':
      return `${step.kind}/${step.container}`;
    case 'pre-stop':
    case 'kill-container':
    case 'remove-container':
      return `${step.kind}/${step.containerId}`;
    case 'stop-sandbox':
    case 'remove-sandbox':
      return `${step.kind}/${step.sandboxId}`;
  }
}

/** A step under way. */
export interface Operation {
  readonly step: Step;
  readonly since: number;
  /** 1 for the first try. */
  readonly attempt: number;
}

/** The last failure of a step that has not succeeded since. */
export interface StepFailure {
  readonly step: Step;
  readonly attempt: number;
  /** When the first of these attempts started, and when the last one failed, ms. */
  readonly since: number;
  readonly failedAt: number;
  /** Not tried again before this instant, ms. */
  readonly nextTry: number;
  /** Reason in the kubelet's words (`ErrImagePull`, `CreateContainerConfigError`, ...) and the cause in the plugin's. */
  readonly reason: string;
  readonly message: string;
}

/** How a step ended; one that was cancelled may have done anything or nothing. */
export type StepOutcome = 'done' | 'cancelled' | StepFailure;

/** What a pod waits for besides its steps. */
export type WaitStep =
  | Step['kind']
  /** Devices that cannot be had yet. */
  | 'devices'
  /** The container runtime does not answer, or says that it is not ready. */
  | 'runtime'
  /** The network of the node; no sandbox can be made. */
  | 'network'
  /** A container that ended may not start again yet. */
  | 'restart-back-off'
  /** An init container must end well first. */
  | 'init-container'
  | 'startup-probe'
  | 'readiness-probe'
  | 'readiness-gate'
  /** The node cannot give the pod the resources its spec asks for now. */
  | 'resize'
  /** A sidecar stops after the containers it serves. */
  | 'turn-to-stop'
  /** A pod that no source has named yet is left alone until all have spoken. */
  | 'sources';

/** The one record of what a pod is waiting for; printed by status messages, events, `berth why` and the node API. */
export interface CurrentWait {
  /** The kind of a step, or of what no step can hurry (`WaitStep`). */
  readonly step: WaitStep;
  /** What the step is about: a container, an image, a volume, a sandbox. */
  readonly object: string;
  /** Name of the container it concerns, where it is one. */
  readonly container?: string | undefined;
  readonly since: number;
  readonly attempt: number;
  readonly lastError?: { readonly reason: string; readonly message: string } | undefined;
  /** Why it has come to this wait, where `lastError` only says that it has: the hook that failed, of a container that backs off. */
  readonly cause?: { readonly reason: string; readonly message: string } | undefined;
  readonly nextTry?: number | undefined;
}

export interface PodPlan {
  /** To start now, in this order; those already in flight are not repeated (a kill with less grace is). */
  readonly steps: readonly Step[];
  /** Keys of operations in flight that must be aborted: their purpose is gone. */
  readonly cancel: readonly string[];
  /** Look again at this instant even if nothing wakes the loop (back-off, deadlines), ms. */
  readonly lookAgainAt?: number | undefined;
  /** `forget`: nothing of the pod is left and nobody wants it; the loop ends. */
  readonly next: 'wait' | 'forget';
  /** What the pod waits for, the most telling one first; empty when it is as it should be. */
  readonly waits: readonly CurrentWait[];
}

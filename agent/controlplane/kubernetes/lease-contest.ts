/**
 * Whether somebody else renews the node's lease: once may be anybody, again and again is another agent of the same name.
 *
 * Each renewal that finds the lease written by another counts for more than two that do not. Two agents that renew equally often can fall into
 * a rhythm in which each loses one time in three, and no other: what one wrote while the other was about to try again is not noticed.
 */
export class LeaseContest {
  #score = 0;

  get isContested(): boolean {
    return this.#score >= contested;
  }

  /** Somebody else had written it since. */
  lost(): void {
    this.#score = Math.min(this.#score + forLost, most);
  }

  renewed(): void {
    this.#score = Math.max(this.#score - 1, 0);
  }
}

const forLost = 3;
/** Reached with the second of two in a row, and with the fourth of one in three. */
const contested = 6;
/** Four renewals that nobody disturbed end it. */
const most = 9;

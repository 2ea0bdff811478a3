"use strict";
// Text only ever becomes text: nothing that espd says is taken for markup.
const byId = (id) => document.getElementById(id);
function table(id, head, rows) {
  const out = [head, ...rows].map((cells, n) => {
    const tr = document.createElement("tr");
    for (const cell of cells) {
      const td = document.createElement(n ? "td" : "th");
      td.textContent = cell ?? "-";
      tr.append(td);
    }
    return tr;
  });
  byId(id).replaceChildren(...out);
}
const number = (n) => (n ?? 0).toLocaleString("en");
let last = null;
const history = [];

function draw() {
  const most = Math.max(1e-9, ...history.flat());
  const line = (i) => history.map((h, x) => `${x ? "L" : "M"} ${(x * 600) / 119} ${115 - (h[i] * 105) / most}`).join(" ");
  byId("chart").querySelectorAll("path").forEach((p) => p.remove());
  ["encap", "decap"].forEach((name, i) => {
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    path.setAttribute("class", name);
    path.setAttribute("d", line(i));
    byId("chart").append(path);
  });
}

function show(all) {
  const { status, stats, card, health, sas, events } = all;
  byId("state").textContent = health.healthy ? "healthy" : "see below";
  byId("state").className = health.healthy ? "good" : "bad";
  byId("problems").replaceChildren(...health.problems.map((p) => Object.assign(document.createElement("li"), { textContent: p })));
  table("card", ["card", "state", "losses", "clock", "up", "IKE daemon"],
    [[card.card, card.card_state, number(card.losses), `${number((card.clock_hz ?? 0) / 1e6)} MHz`, `${number(status.uptime_s)} s`, status.ike_daemon ? "connected" : "not connected"]]);
  if (card.cards.length > 1)
    table("cards", ["number", "card", "state", "engine", "SAs", "losses", "encap packets", "decap packets"], card.cards.map((c) =>
      [c.number, c.card, c.state, c.engine, number(c.sas), number(c.losses), number(c.encap_packets), number(c.decap_packets)]));
  const now = { at: Date.now(), ...stats };
  const seconds = last ? (now.at - last.at) / 1000 : 0;
  const rate = (key) => (seconds ? Math.max(0, now[key] - last[key]) / seconds : 0);
  table("rates", ["", "packets", "bytes", "packets/s", "MB/s"], ["encap", "decap"].map((d) =>
    [d, number(stats[`${d}_packets`]), number(stats[`${d}_bytes`]), rate(`${d}_packets`).toFixed(0), (rate(`${d}_bytes`) / 1e6).toFixed(3)]));
  history.push([rate("encap_bytes"), rate("decap_bytes")]);
  if (history.length > 120) history.shift();
  draw();
  last = now;
  table("policies", ["policy", "local", "remote", "through", "state"], status.policies.map((p) =>
    [p.name, p.local_ts, p.remote_ts, `${p.local} - ${p.peer}`, p.ready ? "ready" : "no SA"]));
  table("sas", ["SPI", "direction", "from", "to", "algorithms", "age", "sequence", "packets", "bytes", "drops"], sas.map((s) =>
    [s.spi, s.direction, s.src, s.dst, `${s.cipher}/${s.auth}`, `${s.age_s} s`, number(s.seq), number(s.packets), number(s.bytes),
      number((s.replay_drops ?? 0) + (s.icv_drops ?? 0) + (s.other_drops ?? 0))]));
  table("drops", ["reason", "packets"], Object.entries(stats.drops).map(([k, v]) => [k, number(v)]));
  byId("events").textContent = events.slice(-50).reverse().join("\n");
}

async function look() {
  try {
    const answer = await fetch("/api/all");
    const all = await answer.json();
    if (!answer.ok) throw new Error(all.error);
    show(all);
  } catch (error) {
    byId("state").textContent = "espd does not answer";
    byId("state").className = "bad";
    byId("problems").replaceChildren(Object.assign(document.createElement("li"), { textContent: String(error.message) }));
  }
}
look();
setInterval(look, 2000);

'use strict'

// The ratios as one bar chart on a logarithmic axis: our rate over the peer's, a tick at each goal.

const WIDTH = 900
const LABEL = 430
const BAR = 22

const escape = (text) => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`)

/**
 * @param {{ machine: object, date: string, pairs: object[] }} report what `bench/index.js` writes as JSON
 * @returns {string} SVG
 */
module.exports = function chart (report) {
  const rows = report.pairs.filter((row) => row.ratio)
  const top = Math.max(10, ...rows.map((row) => Math.max(row.ratio, row.goal || 0)))
  const bottom = Math.min(0.5, ...rows.map((row) => row.ratio))
  const scale = (ratio) => LABEL + (WIDTH - LABEL - 60) * Math.log(ratio / bottom) / Math.log(top / bottom)
  const height = rows.length * (BAR + 14) + 70
  const bars = rows.map((row, i) => {
    const y = 40 + i * (BAR + 14)
    const end = scale(row.ratio)
    const goal = row.goal ? `<path d="M${scale(row.goal).toFixed(1)} ${y - 3}v${BAR + 6}" stroke="#d1495b" stroke-width="2"/>` : ''
    return `<text x="${LABEL - 10}" y="${y + 9}" text-anchor="end">${escape(row.name)}</text>` +
      `<text x="${LABEL - 10}" y="${y + 22}" text-anchor="end" fill="#777" font-size="10">against ${escape(row.peer)}</text>` +
      `<rect x="${LABEL}" y="${y}" width="${Math.max(1, end - LABEL).toFixed(1)}" height="${BAR}" rx="3" fill="#2e86ab"/>${goal}` +
      `<text x="${(end + 6).toFixed(1)}" y="${y + 15}">${row.ratio >= 10 ? Math.round(row.ratio) : row.ratio.toFixed(2)}×</text>`
  })
  const one = scale(1).toFixed(1)
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="12">` +
    `<rect width="${WIDTH}" height="${height}" fill="#fff"/>` +
    '<text x="14" y="20" font-weight="bold">Rate over the peer’s, logarithmic; red: the goal</text>' +
    `<path d="M${one} 32V${height - 30}" stroke="#999" stroke-dasharray="3 3"/><text x="${one}" y="${height - 16}" text-anchor="middle" fill="#777">1×</text>` +
    bars.join('') +
    `<text x="14" y="${height - 8}" fill="#777" font-size="10">${escape(`${report.date}, ${report.machine.cpu}, ${report.machine.cores} cores, Node ${report.machine.node}`)}</text></svg>\n`
}

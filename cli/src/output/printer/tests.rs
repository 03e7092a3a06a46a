use super::super::show::Field;
use super::*;

#[derive(Serialize)]
struct Fruit {
    id: u8,
    name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    taste: Option<&'static str>,
}

impl Row for Fruit {
    const COLUMNS: &'static [&'static str] = &["id", "name", "taste"];

    fn tone(&self) -> Option<&'static str> {
        (self.id == 1).then_some("31")
    }

    fn cells(&self) -> Vec<String> {
        vec![self.id.to_string(), self.name.to_owned(), self.taste.unwrap_or("-").to_owned()]
    }
}

impl Record for Fruit {
    fn fields(&self) -> Vec<Field> {
        vec![("id", self.id.to_string()), ("name", self.name.to_owned())]
    }
}

const FRUIT: [Fruit; 2] =
    [Fruit { id: 1, name: "日本梨", taste: Some("sweet") }, Fruit { id: 20, name: "a\tb\x1b[2J", taste: None }];

#[test]
fn a_list_is_the_same_in_three_formats() {
    assert_eq!(
        table::list(&FRUIT, Color::OFF),
        "ID  NAME           TASTE\n1   日本梨         sweet\n20  a\\tb\\u{1b}[2J  -\n"
    );
    assert_eq!(plain::list(&FRUIT), "1\t日本梨\tsweet\n20\ta\\tb\\u{1b}[2J\t-\n");
    assert_eq!(
        json::line(&&FRUIT[..]),
        "[{\"id\":1,\"name\":\"日本梨\",\"taste\":\"sweet\"},{\"id\":20,\"name\":\"a\\tb\\u001b[2J\"}]\n"
    );
    assert_eq!(json::line(&&FRUIT[..0]), "[]\n");
}

#[test]
fn a_record_is_the_same_in_three_formats() {
    assert_eq!(table::record(&FRUIT[0].fields(), Color::OFF), "id    1\nname  日本梨\n");
    assert_eq!(plain::record(&FRUIT[0].fields()), "id\t1\nname\t日本梨\n");
    assert_eq!(json::line(&FRUIT[0]), "{\"id\":1,\"name\":\"日本梨\",\"taste\":\"sweet\"}\n");
}

#[test]
fn colour_adds_nothing_but_colour() {
    let list = table::list(&FRUIT, Color::ON);
    assert_eq!(list.lines().next(), Some("\x1b[1mID  NAME           TASTE\x1b[0m"));
    assert!(list.contains("\n\x1b[31m1\x1b[0m   日本梨") && list.contains("\n20  a"), "{list}");
    let bare = |text: String| ["\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[0m"].iter().fold(text, |t, c| t.replace(c, ""));
    assert_eq!(bare(list), table::list(&FRUIT, Color::OFF));
    assert_eq!(bare(table::record(&FRUIT[1].fields(), Color::ON)), table::record(&FRUIT[1].fields(), Color::OFF));
}

#[test]
fn the_option_decides_before_the_variable() {
    let choose = |json, variable: Option<&str>| Format::choose(json, variable.map(OsStr::new)).ok();
    assert_eq!(choose(true, Some("plain")), Some(Format::Json));
    assert_eq!(choose(false, Some("plain")), Some(Format::Plain));
    assert_eq!(choose(false, Some("json")), Some(Format::Json));
    assert_eq!(choose(false, Some("")), Some(Format::Table));
    assert_eq!(choose(false, None), Some(Format::Table));
    assert_eq!(choose(false, Some("xml")), None);
}
